// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {IAaveReserves} from "./flash.sol";
import {IAavePool, IAaveToken, IERC20} from "./interfaces.sol";
import {Tokens} from "./Tokens.sol";
import {IV3Pool} from "./venues.sol";

/// @title Repays a debt at an Aave V3 market out of the debtor's own collateral there, in one call. UNAUDITED.
/// @notice Uniswap V3 pools pay out what they sell before they ask for the price: that is the loan. The asset owed is bought, exactly
/// as much as is to be repaid; while the pool waits, the caller's debt is repaid with it, then as much of his aTokens as the pool asks
/// for is pulled from him and withdrawn to the pool. No lender's premium is paid beside the pools' own fees.
///
/// It has no owner, no settings and no storage but a lock, the same bytes at the same address on every chain. Between calls it holds
/// nothing and is allowed nothing; what somebody sent it by mistake is neither used nor given to anybody.
///
/// Who can lose what. aTokens are pulled from the caller alone, the caller's debt alone is repaid, what is left goes to the caller
/// alone. He states how much collateral it may cost at most and what his health factor has to be afterwards, and the market checks its
/// own rules when his aTokens move. Whoever names a market, a factory or tokens of his own making risks his own money.
contract FlashRepay {
    using Tokens for address;

    error DeadlinePassed(uint256 deadline);
    error Busy();
    error BadPath();
    error BadAmount(uint256 amount);
    error NotTheReservesToken(address aToken);
    error NotThePool(address sender);
    error CollateralAboveMost(uint256 wanted, uint256 most);
    error AmountUnavailable(uint256 wanted, uint256 got);
    error AllowanceRemains(address token, address spender);
    error HealthBelowLeast(uint256 health, uint256 least);

    /// @notice What was repaid of `owed`, and how many aTokens of `collateral` the account has less.
    event Repaid(address indexed account, address indexed pool, address owed, uint256 repaid, address collateral, uint256 taken);

    /// @notice `tokens` is the way of the purchase backwards: first the asset owed, last the collateral; `fees` (millionths) name the
    /// pool of `factory` between each and the next. `aToken` is the market's own of the collateral. At most `mostCollateral` of it
    /// may be taken; `leastHealth` (1e18) is what the market has to say of the caller's health afterwards.
    struct Repayment {
        address pool;
        address aToken;
        uint256 repays;
        uint256 mostCollateral;
        uint256 leastHealth;
        uint256 deadline;
        address factory;
        address[] tokens;
        uint24[] fees;
    }

    uint256 private constant MOST_POOLS = 4;
    uint256 private constant VARIABLE = 2; // DataTypes.InterestRateMode.VARIABLE
    uint256 private constant MOST_ROUNDING = 128;
    uint160 private constant LOWEST = 4295128740; // TickMath.MIN_SQRT_RATIO + 1
    uint160 private constant HIGHEST = 1461446703485210103287273052203988822378723970341; // TickMath.MAX_SQRT_RATIO - 1
    bytes32 private constant V3_INIT_CODE = 0xe34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54;

    uint256 private constant IDLE = 1;
    uint256 private constant RUNNING = 2;
    /// While a call runs: RUNNING, and on top of it what the market has taken of the asset owed so far.
    uint256 private status = IDLE;
    /// Which pool may call back now, and with which data: the hash of both. IDLE but while a pool is being asked.
    bytes32 private pending = bytes32(IDLE);

    /// @notice Repays `repays` of the caller's variable debt, or all of it where it is less: the rest is paid to the caller then. The
    /// caller has allowed this contract `mostCollateral` of `aToken`.
    function repay(Repayment calldata r) external returns (uint256 repaid, uint256 taken) {
        if (status != IDLE) revert Busy();
        status = RUNNING;
        if (block.timestamp > r.deadline) revert DeadlinePassed(r.deadline);
        if (r.repays == 0 || r.repays > uint256(uint128(type(int128).max))) revert BadAmount(r.repays);
        uint256 last = r.fees.length;
        if (last == 0 || last > MOST_POOLS || r.tokens.length != last + 1 || r.tokens[0] == r.tokens[last]) revert BadPath();
        _checkToken(r.pool, r.tokens[last], r.aToken);
        uint256 before = r.tokens[0].held();
        taken = IERC20(r.aToken).balanceOf(msg.sender);
        _buy(r, msg.sender, 0, r.repays, address(this));
        uint256 left = r.tokens[0].held();
        if (left < before) revert AmountUnavailable(before, left);
        left -= before;
        r.tokens[0].send(msg.sender, left);
        repaid = status - RUNNING;
        taken -= IERC20(r.aToken).balanceOf(msg.sender);
        if (taken > r.mostCollateral) revert CollateralAboveMost(taken, r.mostCollateral);
        (,,,,, uint256 health) = IAavePool(r.pool).getUserAccountData(msg.sender);
        if (health < r.leastHealth) revert HealthBelowLeast(health, r.leastHealth);
        emit Repaid(msg.sender, r.pool, r.tokens[0], repaid, r.tokens[last], taken);
        status = IDLE;
    }

    /// @notice The pool being asked has paid out, and is paid: once, by data of this contract's own making.
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external {
        if (keccak256(abi.encode(msg.sender, data)) != pending) revert NotThePool(msg.sender);
        pending = bytes32(IDLE);
        (Repayment memory r, address account, uint256 at) = abi.decode(data, (Repayment, address, uint256));
        int256 asked = amount0Delta > 0 ? amount0Delta : amount1Delta;
        if (asked <= 0) revert BadAmount(uint256(asked));
        if (at == 0) _repay(r, account);
        if (at + 1 < r.fees.length) _buy(r, account, at + 1, uint256(asked), msg.sender);
        else _payWithCollateral(r, account, uint256(asked), msg.sender);
    }

    // ------------------------------------------------------------------ buying
    /// @dev Exactly `amount` of the path's token `at` for `to`, from a pool whose address follows from factory, tokens and fee (EIP-1014).
    function _buy(Repayment memory r, address account, uint256 at, uint256 amount, address to) private {
        (address bought, address sold) = (r.tokens[at], r.tokens[at + 1]);
        bool zeroForOne = sold < bought;
        (address token0, address token1) = zeroForOne ? (sold, bought) : (bought, sold);
        bytes32 salt = keccak256(abi.encode(token0, token1, r.fees[at]));
        address pool = address(uint160(uint256(keccak256(abi.encodePacked(hex"ff", r.factory, salt, V3_INIT_CODE)))));
        bytes memory data = abi.encode(r, account, at);
        pending = keccak256(abi.encode(pool, data));
        IV3Pool(pool).swap(to, zeroForOne, -int256(amount), zeroForOne ? LOWEST : HIGHEST, data);
        if (pending != bytes32(IDLE)) revert NotThePool(pool);
    }

    // ------------------------------------------------------------------ the market
    /// @dev The market itself says which token stands for the collateral: one of the caller's making would withdraw what lies here.
    function _checkToken(address pool, address collateral, address aToken) private view {
        (, address own) = IAaveReserves(pool).getReserveData(collateral);
        if (own != aToken || IAaveToken(aToken).POOL() != pool || IAaveToken(aToken).UNDERLYING_ASSET_ADDRESS() != collateral) {
            revert NotTheReservesToken(aToken);
        }
    }

    function _repay(Repayment memory r, address account) private {
        address owed = r.tokens[0];
        owed.approve(r.pool, r.repays);
        uint256 had = owed.held();
        IAavePool(r.pool).repay(owed, r.repays, VARIABLE, account);
        status = RUNNING + had - owed.held();
        if (IERC20(owed).allowance(address(this), r.pool) != 0) owed.approve(r.pool, 0);
        if (IERC20(owed).allowance(address(this), r.pool) != 0) revert AllowanceRemains(owed, r.pool);
    }

    /// @dev Debt was repaid before, so that the market's own check of the caller's health comes after it. Older versions round what a
    /// transfer brings to the nearest unit of a scaled balance, so that a base unit may be missing: it is pulled besides, and what is
    /// too much goes back.
    function _payWithCollateral(Repayment memory r, address account, uint256 amount, address to) private {
        if (amount > r.mostCollateral) revert CollateralAboveMost(amount, r.mostCollateral);
        uint256 before = r.aToken.held();
        r.aToken.pull(account, amount);
        for (uint256 more = 1; r.aToken.held() - before < amount; more *= 2) {
            if (more > MOST_ROUNDING) revert AmountUnavailable(amount, r.aToken.held() - before);
            r.aToken.pull(account, more);
        }
        uint256 got = IAavePool(r.pool).withdraw(r.tokens[r.fees.length], amount, to);
        if (got != amount) revert AmountUnavailable(amount, got);
        uint256 holds = r.aToken.held();
        if (holds > before) r.aToken.send(account, holds - before);
    }
}
